import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { type PeerName, RefillError } from '@refill/interface';

/** Who this node is to others: whoever has the key answers in its name. */
export interface Identity {
  readonly peer: PeerName;
  readonly privateKey: Ed25519PrivateKey;
}

const KEY_FILE = 'control.key';
/** A key as libp2p's protobuf is 68 bytes, as base64 96. */
const KEY_FILE_BYTES_MAX = 1024;

/** A new identity that nothing remembers, for tests and tools. */
export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'));
}

/**
 * The identity kept in `directory` as `control.key` (mode 0600), made there when it is missing. The directory is the
 * node's own, on a local disk. The file appears whole or not at all: it is written beside, synced, and linked to its
 * name, so that of two that start at once one wins and both use its key. `ERR_CONFIG` when others may read or write
 * the file, or when it holds no key.
 */
export async function loadIdentity(directory: string): Promise<Identity> {
  const path = join(directory, KEY_FILE);
  const found = await readKey(path);
  if (found !== undefined) return identityOf(found);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await makeKey(directory, path);
  const made = await readKey(path);
  if (made === undefined) throw new RefillError('ERR_CONFIG', `${path} was removed while it was made`);
  return identityOf(made);
}

function identityOf(privateKey: Ed25519PrivateKey): Identity {
  return { peer: `${peerIdFromPrivateKey(privateKey)}`, privateKey };
}

async function readKey(path: string): Promise<Ed25519PrivateKey | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new RefillError('ERR_CONFIG', `${path} cannot be read as a key: ${code}`, {
      cause: error,
      fix: 'It must be a plain file of this user',
    });
  }
  try {
    const { mode, uid, size } = await file.stat();
    const self = process.getuid?.();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || (self !== undefined && uid !== self)) {
      throw new RefillError('ERR_CONFIG', `${path} is not a plain file of this user`, {
        fix: `chown it to user ${self}`,
      });
    }
    if ((mode & 0o077) !== 0) {
      throw new RefillError(
        'ERR_CONFIG',
        `${path} may be read or written by others (mode 0${(mode & 0o777).toString(8)})`,
        {
          fix: `chmod 600 ${path}, or remove it to get a new identity if others may have read it`,
        },
      );
    }
    if (size > KEY_FILE_BYTES_MAX) throw damaged(path);
    return await parseKey(path, await file.readFile('latin1'));
  } finally {
    await file.close();
  }
}

async function parseKey(path: string, text: string): Promise<Ed25519PrivateKey> {
  try {
    const key = privateKeyFromProtobuf(Buffer.from(text, 'base64'));
    if (key.type !== 'Ed25519') throw new Error('not an Ed25519 key');
    // The file holds both halves: a bit lost in either shows here.
    const probe = Buffer.from('refill identity');
    if (!(await key.publicKey.verify(probe, await key.sign(probe))))
      throw new Error('its halves do not match');
    return key;
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, cause?: unknown): RefillError {
  return new RefillError('ERR_CONFIG', `${path} holds no Ed25519 key, or a damaged one`, {
    cause,
    fix: 'Restore it, or remove it to get a new identity',
  });
}

async function makeKey(directory: string, path: string): Promise<void> {
  const text = `${Buffer.from(privateKeyToProtobuf(await generateKeyPair('Ed25519'))).toString('base64')}\n`;
  const temporary = join(directory, `.${KEY_FILE}.${randomUUID()}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(temporary);
  }
  const folder = await open(directory, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
