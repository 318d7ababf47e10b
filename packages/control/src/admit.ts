import { type Chance, ERROR_CODES, type PeerName, RefillError } from '@refill/interface';
import {
  chooseVersion,
  decodeChallenge,
  decodeHello,
  encodeChallenge,
  encodeHello,
  isProof,
  NONCE_BYTES,
  proofOf,
  type Session,
  VERSION_MAX,
  VERSION_MIN,
} from './admission.ts';
import { REFUSAL_BYTES_MAX } from './bounds.ts';
import type { Membership } from './credentials.ts';
import { errorOf } from './errors.ts';
import { FRAME_BYTES_MAX, FRAME_KIND, type Frame, frameOf } from './frame.ts';
import type { FramedStream } from './framed-stream.ts';

export interface Ends {
  readonly self: PeerName;
  readonly peer: PeerName;
}

interface AdmissionParts {
  readonly membership: Membership;
  readonly chance: Pick<Chance, 'bytes'>;
}

/**
 * The listening side, frame by frame: hello, challenge, proof, admitted. `done` is called with nothing once the peer
 * is admitted, before its next frame is looked at; a refusal is sent, and `done` called with it.
 */
export function admit(
  stream: FramedStream,
  { self, peer }: Ends,
  { membership, chance }: AdmissionParts,
  done: (refusal?: RefillError) => void,
): void {
  let session: Session | undefined;
  stream.onFrame = (frame) => {
    try {
      if (session === undefined) {
        expectKind(frame, FRAME_KIND.hello);
        const hello = decodeHello(frame.body);
        const version = chooseVersion(hello);
        membership.checkListed(peer);
        membership.checkCluster(peer, hello.cluster);
        const nonce = chance.bytes(new Uint8Array(NONCE_BYTES));
        session = {
          secret: membership.secret,
          cluster: membership.cluster,
          version,
          dialer: peer,
          listener: self,
          dialerNonce: hello.nonce,
          listenerNonce: nonce,
        };
        stream.send(frameOf(FRAME_KIND.challenge, { body: encodeChallenge({ version, nonce }) }));
        return;
      }
      expectKind(frame, FRAME_KIND.proof);
      if (!isProof(frame.body, 'dialer', session)) {
        throw new RefillError(
          'ERR_UNAUTHORIZED',
          `${peer} does not know the secret of ${membership.cluster}`,
        );
      }
      stream.send(frameOf(FRAME_KIND.admitted, { body: proofOf('listener', session) }));
      stream.frameBytesMax = FRAME_BYTES_MAX;
      done();
    } catch (error) {
      const refusal =
        error instanceof RefillError ? error : new RefillError('ERR_INTERNAL', 'admission failed');
      stream.onFrame = () => {};
      stream.send(refusalOf(refusal));
      done(refusal);
    }
  };
}

/** The dialling side: `done` as above. Nothing is sent in answer to a peer that fails to prove itself. */
export function join(
  stream: FramedStream,
  { self, peer }: Ends,
  { membership, chance }: AdmissionParts,
  done: (refusal?: RefillError) => void,
): void {
  const { cluster, secret } = membership;
  const nonce = chance.bytes(new Uint8Array(NONCE_BYTES));
  let session: Session | undefined;
  stream.onFrame = (frame) => {
    try {
      if (frame.kind === FRAME_KIND.refused) throw errorOf(frame);
      if (session === undefined) {
        expectKind(frame, FRAME_KIND.challenge);
        const challenge = decodeChallenge(frame.body);
        const version = chooseVersion({ versionMin: challenge.version, versionMax: challenge.version });
        session = {
          secret,
          cluster,
          version,
          dialer: self,
          listener: peer,
          dialerNonce: nonce,
          listenerNonce: challenge.nonce,
        };
        stream.send(frameOf(FRAME_KIND.proof, { body: proofOf('dialer', session) }));
        return;
      }
      expectKind(frame, FRAME_KIND.admitted);
      if (!isProof(frame.body, 'listener', session)) {
        throw new RefillError('ERR_UNAUTHORIZED', `${peer} does not know the secret of ${cluster}`);
      }
      stream.frameBytesMax = FRAME_BYTES_MAX;
      done();
    } catch (error) {
      stream.onFrame = () => {};
      done(error instanceof RefillError ? error : new RefillError('ERR_INTERNAL', 'admission failed'));
    }
  };
  const hello = encodeHello({ versionMin: VERSION_MIN, versionMax: VERSION_MAX, nonce, cluster });
  stream.send(frameOf(FRAME_KIND.hello, { body: hello }));
}

function expectKind(frame: Frame, kind: number): void {
  if (frame.kind === kind) return;
  throw new RefillError('ERR_PROTOCOL', `frame ${frame.kind} came before admission, where ${kind} was due`);
}

/** As much of a message as fits, cut between characters. */
function refusalOf(refusal: RefillError): Frame {
  const body = Buffer.alloc(REFUSAL_BYTES_MAX);
  const length = body.write(refusal.message);
  return frameOf(FRAME_KIND.refused, {
    argument: ERROR_CODES[refusal.code],
    body: body.subarray(0, length),
  });
}
