import { MESSAGE } from '../protocol/message.ts';
import {
  handleCommit,
  handleLookup,
  handleMatchPrefix,
  handleRemove,
  handleRemoveAt,
} from './handle-blocks.ts';
import {
  handleCheckpoint,
  handleCreateSegment,
  handleForgetSegment,
  handleMoveSegment,
  handleOpenNamespace,
  handleReset,
  handleSync,
} from './handle-catalogue.ts';
import { handleAcquireEpoch, handleHeartbeat, handleJoin, handleLeave } from './handle-members.ts';
import { handleAcquireFills, handleAwaitFills, handleLocate, handleReleaseFills } from './handle-sharing.ts';
import type { ServiceHandler } from './service-core.ts';

/** What answers each type of message. */
export const HANDLERS: Readonly<Record<number, ServiceHandler | undefined>> = {
  [MESSAGE.join]: handleJoin,
  [MESSAGE.heartbeat]: handleHeartbeat,
  [MESSAGE.leave]: handleLeave,
  [MESSAGE.sync]: handleSync,
  [MESSAGE.lookup]: handleLookup,
  [MESSAGE.matchPrefix]: handleMatchPrefix,
  [MESSAGE.commit]: handleCommit,
  [MESSAGE.remove]: handleRemove,
  [MESSAGE.removeAt]: handleRemoveAt,
  [MESSAGE.acquireEpoch]: handleAcquireEpoch,
  [MESSAGE.openNamespace]: handleOpenNamespace,
  [MESSAGE.createSegment]: handleCreateSegment,
  [MESSAGE.moveSegment]: handleMoveSegment,
  [MESSAGE.forgetSegment]: handleForgetSegment,
  [MESSAGE.reset]: handleReset,
  [MESSAGE.checkpoint]: handleCheckpoint,
  [MESSAGE.locate]: handleLocate,
  [MESSAGE.acquireFills]: handleAcquireFills,
  [MESSAGE.awaitFills]: handleAwaitFills,
  [MESSAGE.releaseFills]: handleReleaseFills,
};
