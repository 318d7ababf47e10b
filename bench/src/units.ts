export const KIB = 1024;
export const MIB: number = 1024 * 1024;
export const GIB: number = 1024 * 1024 * 1024;

/** `64KiB`, `4MiB`: how block sizes stand in the names of rows. */
export function sizeName(bytes: number): string {
  return bytes >= MIB ? `${bytes / MIB}MiB` : `${bytes / KIB}KiB`;
}
