import {
  HINT,
  HINT_WORDS,
  hintBytes,
  hintsOf,
  type PutHints,
  readHints,
  writeHints,
} from '@refill/interface';
import t from 'tap';

function written(hints: PutHints): Uint32Array {
  const words = new Uint32Array(hintBytes(hints) / 4);
  writeHints(words, 0, hints);
  return words;
}

t.test('hints say the same on both sides', async (t) => {
  const all: PutHints[] = [
    { ttlMs: 1 },
    { tier: 'dram' },
    { tier: 'nvme', pin: true },
    { replicas: 16 },
    { node: 'é'.repeat(100) },
    { ttlMs: 2_592_000_000, tier: 'shared', replicas: 2, pin: true, node: 'gpu-17' },
  ];
  for (const hints of all) {
    const words = written(hints);
    t.equal(words.length % 2, 0, 'rows behind them stay aligned');
    t.same(readHints(words), { hints, bytes: words.length * 4 });
  }
});

t.test('options without hints take no room', async (t) => {
  t.equal(hintsOf(undefined), undefined);
  t.equal(hintsOf({ durability: 'shared' }), undefined);
  t.equal(hintBytes(undefined), 0);
  t.match(hintsOf({ durability: 'shared', ttlMs: 5 }), { ttlMs: 5 });
});

t.test('values that mean nothing are named with their field and what would do', async (t) => {
  const wrong = (options: object, message: RegExp): void => {
    t.throws(() => hintsOf(options as PutHints), { message });
  };
  wrong({ ttlMs: 0 }, /ttlMs must be a whole number from 1 to 2592000000, got 0/);
  wrong({ ttlMs: 1.5 }, /ttlMs .* got 1.5/);
  wrong({ ttlMs: '5' }, /ttlMs .* got 5/);
  wrong({ replicas: 17 }, /replicas must be a whole number from 1 to 16, got 17/);
  wrong({ tier: 'tape' }, /tier must be 'dram', 'nvme' or 'shared', got "tape"/);
  wrong({ pin: 1 }, /pin must be true or false, got 1/);
  wrong({ node: '' }, /node must be the name of a node, got ""/);
  wrong({ node: 'x'.repeat(257) }, /node must have at most 256 bytes, got 257/);
  wrong({ tier: 'dram', durability: 'shared' }, /tier is 'dram'.*durability is 'shared'/);
});

t.test('hints that do not fit their frame are refused, and unknown ones too', async (t) => {
  const good = written({ ttlMs: 5, node: 'b' });
  const withWord = (word: number, value: number): Uint32Array => {
    const words = good.slice();
    words[word] = value;
    return words;
  };
  t.throws(() => readHints(new Uint32Array(HINT_WORDS - 1)), { code: 'ERR_PROTOCOL' });
  t.throws(() => readHints(good.subarray(0, HINT_WORDS)), { code: 'ERR_PROTOCOL' }, 'the name is missing');
  t.throws(() => readHints(withWord(HINT.nodeBytes, 257)), { code: 'ERR_PROTOCOL' });
  t.throws(() => readHints(withWord(HINT.zero, 1)), { code: 'ERR_PROTOCOL' });
  t.throws(() => readHints(withWord(HINT.tier, 3)), { code: 'ERR_INVALID_ARGUMENT', message: /tier is 3/ });
  t.throws(() => readHints(withWord(HINT.pin, 2)), { code: 'ERR_INVALID_ARGUMENT', message: /pin is 2/ });
});
