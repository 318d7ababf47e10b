import type { Directory } from '@refill/interface';

/** Finds a namespace's index by its id. A directory that was rebuilt may have given an index to another one. */
export function namespaceFinder(
  directory: Pick<Directory, 'namespace' | 'namespaces'>,
): (id: Uint8Array) => number | undefined {
  const known = new Map<string, number>();
  return (id) => {
    const wanted = nameOf(id);
    const found = known.get(wanted);
    const record = found === undefined ? undefined : directory.namespace(found);
    if (record !== undefined && nameOf(record.id) === wanted) return found;
    known.clear();
    for (const { id: other, index } of directory.namespaces()) known.set(nameOf(other), index);
    return known.get(wanted);
  };
}

function nameOf(id: Uint8Array): string {
  return Buffer.from(id).toString('latin1');
}
