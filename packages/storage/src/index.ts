/**
 * The storage contract and what belongs to it: memory storage, errors, ids, digests, clock.
 *
 * `@tidemark/storage/adapter` has the rules for authors of adapters, `@tidemark/storage/conformance` the kit.
 */
export { backgroundClock, type Clock, randomToken, systemClock } from './clock.ts'
export * from './contract.ts'
export { digestFromBytes, digestToBytes, EMPTY_DIGEST, extendDigest, isDigest } from './digest.ts'
export { StorageError } from './errors.ts'
export { isHonoured } from './generation.ts'
export { checkId, compareIds, ID_BYTES_MAX } from './ids.ts'
export { type Answer, inBulk } from './in-bulk.ts'
export { jsonEqual } from './json-equal.ts'
export { type MemoryStorageOptions, memoryStorage } from './memory/index.ts'
export { andThen, settle } from './settle.ts'
export type { SynchronousStorage } from './synchronous.ts'
export { nextTurn } from './turn.ts'
export { unlessAborted } from './unless-aborted.ts'
export { compareVersions } from './version.ts'
export { watchChanges } from './watched.ts'
