// First: what is imported below needs it under Node 20.
import './promise-with-resolvers.ts';

export { type ControlOptions, type ControlParts, createControl } from './control.ts';
export type { Credentials } from './credentials.ts';
export { createIdentity, type Identity, loadIdentity } from './identity.ts';
export { type MemberCard, type MemberCards, readMemberCards, writeMemberCard } from './member-card.ts';
