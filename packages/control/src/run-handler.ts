import {
  CONTROL_BYTES_MAX,
  type ControlHandler,
  invariant,
  type PeerName,
  RefillError,
} from '@refill/interface';
import { failureOf } from './errors.ts';
import { FRAME_KIND, type Frame, frameOf } from './frame.ts';

/** Runs the handler of a request. Whatever it does becomes an answer or a failure that may be sent. */
export async function runHandler(
  handlers: ReadonlyMap<string, ControlHandler>,
  from: PeerName,
  { id, name, body }: Pick<Frame, 'id' | 'name' | 'body'>,
): Promise<Frame> {
  try {
    const handler = handlers.get(name);
    if (handler === undefined) throw new RefillError('ERR_VERSION', `${name} is not spoken here`);
    const answer = await handler(from, body);
    invariant(answer.length <= CONTROL_BYTES_MAX, 'an answer fits a control frame');
    return frameOf(FRAME_KIND.answer, { id, body: answer });
  } catch (error) {
    return failureOf(id, name, error);
  }
}
