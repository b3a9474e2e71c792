/**
 * For authors of adapters: the rules of the contract that need no engine, so that no adapter writes its own.
 *
 * `append`: checkBatch → judgeDocument → overlapOf, read it, judgeRun → write. `read`: pageBuilder. See README.md.
 * For engines of binary records besides: records with a checksum (blob.ts), packed transactions (packed.ts, parts.ts).
 */
export { BlobReader, BlobWriter, DamagedBlob, textOf, viewOf } from './blob.ts'
export { checkBatch, checkBytesMax, checkIds, checkListing, checkMap, throwIfAborted } from './check.ts'
export { crc32, portableCrc32 } from './crc32.ts'
export { digestFromBytes, digestToBytes, EMPTY_DIGEST, extendDigest, isDigest } from './digest.ts'
export { checkId, checkText, compareIds, ID_BYTES_MAX, utf8Length } from './ids.ts'
export { bytesEqual, jsonEqual } from './json-equal.ts'
export {
  bytesOf,
  type DocumentVerdict,
  type HeldDocument,
  type HeldSession,
  judgeDocument,
  judgeRun,
  type Overlap,
  overlapOf,
  type RunVerdict,
  samePayload,
} from './judge.ts'
export { type Packable, Packed, type Sealed, writePacked } from './packed.ts'
export { exceedsPage, type PageBuilder, type PageLimits, type PageOf, type Piece, pageBuilder } from './page.ts'
export { foldPieces, growParts, type Part, SEGMENT_BYTES } from './parts.ts'
export { Remembered, RememberedWithin } from './remembered.ts'
export { type RememberedTail, RememberedTails } from './remembered-tails.ts'
export { JudgedAt, Moments, type SessionEntry, type StateRow, stateOf } from './states.ts'
export { checkVersion, compareVersions } from './version.ts'
