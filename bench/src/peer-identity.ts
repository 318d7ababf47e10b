/** Namespace id and key of block `i`, twelve words, the same on both sides. */
export function peerIdentity(i: number, rows: Uint32Array, at: number): void {
  rows.fill(7, at, at + 4);
  for (let word = 4; word < 12; word++) rows[at + word] = Math.imul(i + 1, 0x9e3779b1 + word) >>> 0;
}
