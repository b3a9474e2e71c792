/**
 * Looking at a path before anything is opened there: whether it can be a store of ours.
 *
 * A file of somebody else is recognised by its first bytes, before SQLite sees it, and is neither changed nor locked. Every refusal
 * is one sentence that names the path. Not here: whether the file can be written by this version (open.ts).
 */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { StorageError } from '@tidemark/storage'
import { APPLICATION_ID } from './schema.ts'

const MAGIC = 'SQLite format 3\0'
const HEADER_BYTES = 100
/** Where SQLite keeps the application id in its header, big endian. */
const APPLICATION_ID_AT = 68

/** The one path of the store at `path`, which may not exist yet. @throws StorageError `IO` if its folder does not. */
export function realPath(path: string): string {
  const absolute = resolve(path)
  try {
    return existsSync(absolute) ? realpathSync(absolute) : join(realpathSync(dirname(absolute)), basename(absolute))
  } catch (cause) {
    throw refusal(absolute, cause)
  }
}

/** @throws StorageError `IO` (no such file, a folder), `CORRUPT` (not ours), `READ_ONLY` (may not be written). */
export function checkFile(file: string, readOnly: boolean): void {
  try {
    checkAccess(file, readOnly)
    // Not for a reader: closing the file would give back the lock that another reader of this process has on it.
    if (!readOnly && existsSync(file)) checkOwner(file)
  } catch (cause) {
    throw cause instanceof StorageError ? cause : refusal(file, cause)
  }
}

function checkAccess(file: string, readOnly: boolean): void {
  if (!existsSync(file)) {
    if (readOnly) throw new StorageError('IO', `Cannot open ${file} for reading: there is no such file.`)
    accessSync(dirname(file), constants.W_OK)
    return
  }
  if (statSync(file).isDirectory())
    throw new StorageError('IO', `Cannot open ${file}: it is a folder, expected the path of a file.`)
  // The log and the lock stand beside the file under its name: under two names there would be two of each.
  if (!readOnly && statSync(file).nlink > 1)
    throw new StorageError('IO', `Cannot open ${file}: it has several names (hard links); remove all but one.`)
  // WAL needs files beside it.
  if (!readOnly) for (const path of [file, dirname(file)]) accessSync(path, constants.W_OK)
}

function checkOwner(file: string): void {
  const header = firstBytes(file)
  // Empty, or being created when its process was killed: SQLite undoes that by itself.
  if (header.length === 0 || isHot(`${file}-journal`)) return
  if (header.toString('latin1', 0, MAGIC.length) !== MAGIC)
    throw new StorageError('CORRUPT', `Cannot open ${file}: it is not a SQLite file.`)
  const owner = header.length < HEADER_BYTES ? 0 : header.readUInt32BE(APPLICATION_ID_AT)
  if (owner !== APPLICATION_ID) throw foreign(file)
}

/** Whether a journal is there that SQLite will undo something with; one that was finished and kept begins with zeros. */
function isHot(journal: string): boolean {
  return existsSync(journal) && (firstBytes(journal)[0] ?? 0) !== 0
}

export function foreign(file: string): StorageError {
  return new StorageError('CORRUPT', `Cannot open ${file}: it is a SQLite file of another program.`)
}

function firstBytes(file: string): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(HEADER_BYTES)
    return bytes.subarray(0, readSync(descriptor, bytes, 0, HEADER_BYTES, 0))
  } finally {
    closeSync(descriptor)
  }
}

function refusal(path: string, cause: unknown): StorageError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT') return new StorageError('IO', `Cannot open ${path}: its folder does not exist.`, cause)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new StorageError('READ_ONLY', `Cannot open ${path}: this process may not write there.`, cause)
  return new StorageError('IO', `Cannot open ${path}: ${cause instanceof Error ? cause.message : cause}.`, cause)
}
