import type { ConnectionGater, Listener, PrivateKey } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p, type Libp2p } from 'libp2p';
import {
  ADMISSION_MS,
  CONNECTIONS_MAX,
  READ_BUFFER_BYTES_MAX,
  STREAM_WINDOW_BYTES,
  STREAMS_MAX,
} from './bounds.ts';

export interface Libp2pParts {
  readonly privateKey: PrivateKey;
  readonly gater: ConnectionGater;
  readonly listen: readonly string[];
}

/** Plain data frames of yamux fill one message of noise: 65,535 bytes less its tag and yamux's header. */
const MUXER_MESSAGE_BYTES = 65_535 - 16 - 12;

/**
 * A libp2p node with nothing but TCP, noise and yamux: no discovery, no relay, no pings, no background dials.
 * Answers it with its listeners, which know the addresses that libp2p itself reports only once they were verified.
 */
export async function createNode(
  parts: Libp2pParts,
): Promise<{ node: Libp2p; listeners: readonly Listener[] }> {
  const listeners: Listener[] = [];
  const node = await createLibp2p({
    privateKey: parts.privateKey,
    start: false,
    addresses: { listen: [...parts.listen] },
    transports: [
      (components) => {
        const transport = tcp()(components);
        const create = transport.createListener.bind(transport);
        transport.createListener = (options) => {
          const listener = create(options);
          listeners.push(listener);
          return listener;
        };
        return transport;
      },
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        enableKeepAlive: false,
        maxInboundStreams: STREAMS_MAX,
        maxOutboundStreams: STREAMS_MAX,
        maxMessageSize: MUXER_MESSAGE_BYTES,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
          maxReadBufferLength: READ_BUFFER_BYTES_MAX,
        },
      }),
    ],
    connectionGater: parts.gater,
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      // The gate is stricter and counts; these are only not to be in its way.
      maxIncomingPendingConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: 10_000,
      inboundUpgradeTimeout: ADMISSION_MS,
      inboundStreamProtocolNegotiationTimeout: ADMISSION_MS,
      outboundStreamProtocolNegotiationTimeout: ADMISSION_MS,
      reconnectRetries: 0,
    },
  });
  return { node, listeners };
}
