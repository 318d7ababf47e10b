import { type ControlNetwork, type PeerAddress, type PeerName, RefillError } from '@refill/interface';
import { METADATA_PROTOCOL } from '../protocol/message.ts';
import type { ServiceChannel } from './service-link.ts';

/** The way to a metadata service on the control network. */
export function controlChannel(
  control: Pick<ControlNetwork, 'request'>,
  service: PeerAddress,
): ServiceChannel {
  return {
    request: (body, deadlineMs) => control.request(service, METADATA_PROTOCOL, body, { deadlineMs }),
  };
}

/**
 * The way to the metadata service in the same process: a node that embeds it is a member like any other. No deadline:
 * whoever is in the same process cannot be cut off.
 */
export function localChannel(
  service: { answer(from: PeerName, body: Uint8Array): Promise<Uint8Array> },
  peer: PeerName,
): ServiceChannel {
  return {
    async request(body) {
      try {
        return await service.answer(peer, body);
      } catch (error) {
        if (error instanceof RefillError) throw error;
        throw new RefillError('ERR_INTERNAL', 'the metadata service failed', { cause: error });
      }
    },
  };
}
