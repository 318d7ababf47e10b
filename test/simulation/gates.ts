import type { ControlNetwork, PeerTransport } from '@refill/interface';
import type { SimProcess } from './sim-process.ts';

/** The control network as a process has it: what it hears waits while it stands still, and is lost when it is dead. */
export function gatedControl(control: ControlNetwork, process: SimProcess): ControlNetwork {
  return {
    self: control.self,
    counters: control.counters,
    handle: (protocol, handler) => control.handle(protocol, handler),
    request: (to, protocol, body, options) => process.hold(control.request(to, protocol, body, options)),
    start: () => control.start(),
    stop: () => control.stop(),
  };
}

/** As `gatedControl`, the transport of blocks. */
export function gatedTransport(transport: PeerTransport, process: SimProcess): PeerTransport {
  return {
    name: transport.name,
    address: transport.address,
    counters: transport.counters,
    start: () => transport.start(),
    stop: () => transport.stop(),
    offer: (rows, count, lifeMs, onReleased) =>
      transport.offer(rows, count, lifeMs, () => process.deliver(onReleased)),
    receive: (address, ticket, rows, count, deadlineMs) =>
      process.hold(transport.receive(address, ticket, rows, count, deadlineMs)),
  };
}
