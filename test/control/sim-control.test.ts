import type { ControlNetwork } from '@refill/interface';
import t from 'tap';
import { controlCompliance } from '../compliance/control-network.ts';
import { IdleClock } from '../fixtures/idle-clock.ts';
import { ManualClock, settle } from '../fixtures/manual-clock.ts';
import { mulberry } from '../fixtures/seeded-random.ts';
import { SimControl } from '../fixtures/sim-control.ts';
import { type SimFaults, SimNetwork } from '../fixtures/sim-network.ts';

const ECHO = '/refill/echo/1';

t.test('the simulated network keeps the contract', async (t) => {
  controlCompliance(t, (_, count) => {
    const clock = new IdleClock();
    const network = new SimNetwork({ clock, chance: { unit: mulberry(1) } });
    return Array.from({ length: count }, (_, i) => new SimControl({ clock, network }, `m${i}`));
  });
});

class World {
  readonly clock = new ManualClock();
  readonly network: SimNetwork;
  readonly log: string[] = [];
  readonly a: SimControl;
  readonly b: SimControl;

  constructor(seed: number, faults: Partial<SimFaults> = {}) {
    this.network = new SimNetwork({ clock: this.clock, chance: { unit: mulberry(seed) } }, faults);
    const parts = { clock: this.clock, network: this.network };
    [this.a, this.b] = [new SimControl(parts, 'a'), new SimControl(parts, 'b')];
    this.b.handle(ECHO, (_, body) => {
      this.log.push(`${body[0]}`);
      return body.slice();
    });
    this.a.start();
    this.b.start();
  }

  /** Asks `b`, and notes how it ends. */
  ask(number: number, deadlineMs = 1000, from: ControlNetwork = this.a): void {
    from.request(this.b.self, ECHO, Uint8Array.of(number), { deadlineMs }).then(
      (answer) => this.log.push(`answer ${answer[0]}`),
      (error) => this.log.push(`${error.code} ${number}`),
    );
  }

  took(): string[] {
    return this.log.splice(0);
  }
}

t.test('a seed replays bit for bit, another differs', async (t) => {
  const faults = {
    delayMsMax: 50,
    straggle: 0.1,
    straggleMs: 900,
    loseRequest: 0.1,
    loseAnswer: 0.1,
    duplicateRequest: 0.2,
  };
  const run = async (seed: number): Promise<string> => {
    const world = new World(seed, faults);
    for (let i = 0; i < 100; i++) world.ask(i, 200);
    await world.clock.advance(2000);
    t.equal(world.clock.pending, 0, 'no timer is left');
    return world.log.join();
  };
  const first = await run(7);
  t.equal(await run(7), first);
  t.not(await run(8), first);
  t.match(first, /ERR_DEADLINE/);
});

t.test('what is lost is late, and what is doubled is carried out twice and answered once', async (t) => {
  const world = new World(1, { loseRequest: 1 });
  world.ask(1);
  await world.clock.advance(1000);
  t.same(world.took(), ['ERR_DEADLINE 1']);
  world.network.faults.loseRequest = 0;
  world.network.faults.loseAnswer = 1;
  world.ask(2);
  await world.clock.advance(1000);
  t.same(world.took(), ['2', 'ERR_DEADLINE 2'], 'it was carried out');
  world.network.faults.loseAnswer = 0;
  world.network.faults.duplicateRequest = 1;
  world.ask(3);
  await world.clock.advance(1000);
  t.same(world.took().sort(), ['3', '3', 'answer 3']);
});

t.test('a straggler is carried out after its caller gave up', async (t) => {
  const world = new World(1, { straggle: 1, straggleMs: 10_000 });
  world.ask(1, 100);
  await world.clock.advance(100);
  t.same(world.took(), ['ERR_DEADLINE 1']);
  await world.clock.advance(20_000);
  t.same(world.took(), ['1']);
});

t.test('a partition swallows what is under way, one way or both, until it heals', async (t) => {
  const world = new World(1);
  world.ask(1);
  world.network.partition(['a'], ['b']);
  await world.clock.advance(1000);
  t.same(world.took(), ['ERR_DEADLINE 1']);
  world.network.heal();
  world.network.cut('b', 'a');
  world.ask(2);
  await world.clock.advance(1000);
  t.same(world.took(), ['2', 'ERR_DEADLINE 2'], 'only the answer was swallowed');
  world.network.heal();
  world.ask(3);
  await world.clock.advance(1000);
  t.same(world.took(), ['3', 'answer 3']);
});

t.test(
  'a death resets, a silent one says nothing, and no later life hears what was meant for the one before',
  async (t) => {
    const world = new World(1);
    world.ask(1);
    world.b.kill();
    await world.clock.advance(10);
    t.same(world.took(), ['ERR_PEER_UNREACHABLE 1']);
    world.b.start();
    world.ask(2);
    world.b.kill({ silent: true });
    world.ask(3, 500);
    await world.clock.advance(1000);
    t.same(world.took(), ['ERR_DEADLINE 3', 'ERR_DEADLINE 2']);
    world.b.start();
    world.ask(4);
    world.b.kill();
    world.b.start();
    await world.clock.advance(1000);
    t.same(world.took(), ['ERR_PEER_UNREACHABLE 4']);
    world.ask(5);
    await world.clock.advance(1000);
    t.same(world.took(), ['5', 'answer 5']);
  },
);

t.test('a stopped process answers when it goes on', async (t) => {
  const world = new World(1);
  world.network.pause('b');
  world.ask(1, 5000);
  world.ask(2, 100);
  await world.clock.advance(1000);
  t.same(world.took(), ['ERR_DEADLINE 2']);
  world.network.resume('b');
  await settle();
  await world.clock.advance(1000);
  t.same(world.took().sort(), ['1', '2', 'answer 1']);
});
