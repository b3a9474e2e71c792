/**
 * Documents in LevelDB: one folder, or any database of the abstract-level family.
 */
export type { LevelDatabase } from './database.ts'
export {
  type LeveldbDatabaseOptions,
  type LeveldbFolderOptions,
  type LeveldbStorage,
  type LeveldbStorageOptions,
  leveldbStorage,
} from './storage.ts'
