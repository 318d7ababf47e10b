export const PLANTED_BUGS: readonly {
  name: string;
  edits?: readonly { package: string; find: string; replace: string }[];
  planted?: string;
}[];
