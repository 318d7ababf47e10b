// Bugs of the protocol for the gate of the simulation: each is caught within so many seeds. `edits` are texts of the
// sources, found exactly once, and what takes their place; `planted` names a bug of what surrounds the product, which
// `test/simulation/plan.ts` switches on. A bug that a second rule makes harmless is planted with that rule taken away.
const ID = 'const id = chance.bytes(new Uint8Array(16));';

export const PLANTED_BUGS = [
  {
    name: 'reused segment id',
    edits: [
      { package: 'store', find: ID, replace: 'const id = new Uint8Array(16).fill(1 + (epoch % 250));' },
    ],
  },
  {
    name: 'append to an old segment',
    edits: [
      {
        package: 'store',
        find: 'this.#options = options;\n    this.#cancelHold?.();\n    this.#cancelHold = undefined;\n    this.#segment?.abandon();\n    this.#rollOver();\n    this.#start();',
        replace: 'Object.assign(this.#options, options);\n    this.#start();',
      },
    ],
  },
  {
    name: 'no fencing',
    edits: [
      {
        package: 'metadata',
        find: 'if (current !== epoch || epoch === 0 || known.incarnation',
        replace: 'if (epoch === 0 || known.incarnation',
      },
      { package: 'metadata', find: 'if (current === epoch) return;', replace: 'if (epoch > 0) return;' },
    ],
  },
  {
    name: 'no fdatasync',
    edits: [
      {
        package: 'store',
        find: 'if (isLast && sync.carry) pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);',
        replace: '',
      },
    ],
  },
  { name: 'lying fsync', planted: 'lying fsync' },
  {
    name: 'rewrite of an offset',
    edits: [
      {
        package: 'store',
        find: 'this.#offset += plan.totalBytes;',
        replace: 'this.#offset += plan.totalBytes - PAGE_BYTES;',
      },
    ],
  },
  {
    name: 'commit without compare-and-set',
    edits: [
      {
        package: 'metadata',
        find: 'accepted[i] = entry < 0 || liesAt(index, entry, rows, at) ? 1 : 0;\n    if (entry < 0) {',
        replace:
          'accepted[i] = 1;\n    if (entry >= 0) {\n      catalogue.count(index.word(entry, INDEX_ROW.segment), index.storedBytes(entry), -1);\n      index.remove(entry);\n    }\n    {',
      },
    ],
  },
  {
    name: 'deletion without waiting for readers',
    edits: [
      {
        package: 'metadata',
        find: 'this.#clock.nowMs() >= this.#unlinkFromMs && this.#condemnedAt.get(index)! <= safeVersion',
        replace: 'safeVersion >= 0',
      },
    ],
  },
  {
    name: 'reader without verification',
    edits: [
      {
        package: 'store',
        find: 'adjacent ? IO_FLAG.verify | IO_FLAG.adjacent : IO_FLAG.verify,',
        replace: 'adjacent ? IO_FLAG.adjacent : 0,',
      },
    ],
  },
  {
    // Ids are random; these are counted by node and epoch, and a rebuild lets epochs begin anew.
    name: 'rebuild that reuses ids',
    edits: [
      {
        package: 'store',
        find: ID,
        replace:
          'const id = new Uint8Array(16);\n    new DataView(id.buffer).setUint32(0, epoch);\n    id[4] = node.charCodeAt(0);\n    id[5] = this.#parts.nextSequence();\n    id[6] = this.#namespace.index;',
      },
      {
        package: 'store',
        find: 'while (epoch <= highest) epoch = await directory.acquireEpoch(node);',
        replace: 'if (highest < 0) epoch = 0;',
      },
      // The second rule: a node that outlived the database tells which epoch it ran under.
      {
        package: 'metadata',
        find: 'await directory.acquireEpoch(node, lastEpoch);',
        replace: 'await directory.acquireEpoch(node, lastEpoch * 0);',
      },
    ],
  },
  {
    name: 'a checkpoint taken for the present',
    edits: [
      {
        package: 'metadata',
        find: "if (manifest !== undefined && mark !== undefined) {\n    const marked = decodeSmall<Manifest>(mark, 'the mark of a checkpoint');\n    if (JSON.stringify(marked.parts) === JSON.stringify(manifest.parts)) {",
        replace: 'if (manifest !== undefined) {\n    {',
      },
    ],
  },
  { name: 'ticket without expiry', planted: 'ticket without expiry' },
  {
    name: 'a fill lease that outlives its holder',
    edits: [{ package: 'metadata', find: 'fills.endNode(lease);', replace: '' }],
  },
];
