/**
 * Documents in IndexedDB.
 */
export { type IndexeddbStorage, type IndexeddbStorageOptions, indexeddbStorage } from './storage.ts'
