/**
 * Looking at a folder before LevelDB does: whether it can be a store of ours.
 *
 * LevelDB makes a new database wherever it does not find one, between the files of somebody else, and over its own if the file is
 * lost that says where they are. Every refusal is one sentence that names the folder. Not here: whose database it is (open.ts).
 */
import { StorageError } from '@tidemark/storage'

export interface Folder {
  /** Its real path: LevelDB's lock does not know that two names are one folder. */
  readonly path: string
  /** There is no database in it. */
  readonly isNew: boolean
}

/** What LevelDB leaves behind when it is killed before a database is made. */
const BEGUN = /^(LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.dbtmp)$/
const CONTENT = /^\d+\.(log|ldb|sst)$/

/**
 * @throws StorageError `IO` (its parent is missing, or it is a file), `CORRUPT` (not ours, or damaged), `READ_ONLY`.
 */
export function checkedFolder(path: string, readOnly: boolean): Folder {
  const { fs, path: paths } = modules()
  const absolute = paths.resolve(path)
  try {
    const parent = fs.realpathSync(paths.dirname(absolute))
    if (!fs.existsSync(absolute)) return missing(paths.join(parent, paths.basename(absolute)), readOnly)
    const folder = fs.realpathSync(absolute)
    if (!fs.statSync(folder).isDirectory())
      throw new StorageError('IO', `Cannot open ${folder}: it is a file, expected the path of a folder.`)
    fs.accessSync(folder, fs.constants.W_OK)
    const isNew = !hasDatabase(folder)
    if (isNew && readOnly)
      throw new StorageError('IO', `Cannot open ${folder} for reading: there is no database in it.`)
    return { path: folder, isNew }
  } catch (cause) {
    if (cause instanceof StorageError) throw cause
    throw refusal(absolute, cause)
  }
}

function missing(path: string, readOnly: boolean): Folder {
  if (readOnly) throw new StorageError('IO', `Cannot open ${path} for reading: there is no such folder.`)
  const { fs } = modules()
  fs.mkdirSync(path)
  return { path, isNew: true }
}

function hasDatabase(folder: string): boolean {
  const { fs, path } = modules()
  const names = fs.readdirSync(folder)
  if (names.includes('CURRENT')) {
    const manifest = fs.readFileSync(path.join(folder, 'CURRENT'), 'latin1').trimEnd()
    if (/^MANIFEST-\d+$/.test(manifest) && names.includes(manifest)) return true
    throw damaged(folder, `its file CURRENT names ${JSON.stringify(manifest)}, which is not there`)
  }
  if (names.some((name) => CONTENT.test(name))) throw damaged(folder, 'its file CURRENT is missing')
  const foreign = names.find((name) => !BEGUN.test(name))
  if (foreign === undefined) return false
  const found = `it is not a LevelDB database and has other files in it, such as ${JSON.stringify(foreign)}`
  throw new StorageError('CORRUPT', `Cannot open ${folder}: ${found}.`)
}

function damaged(folder: string, why: string): StorageError {
  return new StorageError('CORRUPT', `Cannot open ${folder}: the database is damaged, ${why}.`)
}

function refusal(path: string, cause: unknown): StorageError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT') return new StorageError('IO', `Cannot open ${path}: its parent folder does not exist.`, cause)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new StorageError('READ_ONLY', `Cannot open ${path}: this process may not write there.`, cause)
  return new StorageError('IO', `Cannot open ${path}: ${cause instanceof Error ? cause.message : cause}.`, cause)
}

/** Asked for when a path is opened and not imported: with a database of the browser this package runs without Node. */
function modules() {
  return { fs: process.getBuiltinModule('node:fs'), path: process.getBuiltinModule('node:path') }
}
