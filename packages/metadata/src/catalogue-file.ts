import { createHash } from 'node:crypto';
import type { SmallFiles } from '@refill/interface';
import { decodeSmall, encodeNamespace, encodeSmall, type NamespaceFields } from './record.ts';

const PATH = 'catalogue/catalogue.json';
const FILE_BYTES_MAX = 512 * 1024 * 1024;

/** What of the catalogue outlives the metadata database: epochs and namespaces. Segments describe themselves. */
export interface CatalogueCopy {
  epochs: Map<string, number>;
  namespaces: NamespaceFields[];
}

/**
 * Writes the copy on the shared file system: one line of JSON, one line with its SHA-256. The file is replaced whole,
 * so a crash leaves the old one or the new one.
 */
export async function writeCatalogueFile(files: SmallFiles, copy: CatalogueCopy): Promise<void> {
  const namespaces = copy.namespaces.map((fields) =>
    JSON.parse(Buffer.from(encodeNamespace(fields)).toString()),
  );
  const body = Buffer.from(encodeSmall({ epochs: Object.fromEntries(copy.epochs), namespaces })).toString();
  await files.writeFile(PATH, Buffer.from(`${body}\n${digest(body)}\n`));
}

/** The copy; `undefined` when there is none, `damaged` when its digest is wrong. `ERR_ROOT_TOO_NEW` for a later one. */
export async function readCatalogueFile(files: SmallFiles): Promise<CatalogueCopy | 'damaged' | undefined> {
  const bytes = await files.readFile(PATH, { maxBytes: FILE_BYTES_MAX });
  if (bytes === undefined) return undefined;
  const [body, sum] = Buffer.from(bytes).toString().split('\n');
  if (body === undefined || sum !== digest(body)) return 'damaged';
  const fields = decodeSmall<{ epochs: Record<string, number>; namespaces: NamespaceFields[] }>(
    Buffer.from(body),
    PATH,
  );
  return { epochs: new Map(Object.entries(fields.epochs)), namespaces: fields.namespaces };
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}
