/**
 * Hearing of changes that others make, where a storage can tell.
 */
import type { Changed, Storage, WatchedStorage } from './contract.ts'

/** Answers how to stop; a storage that cannot tell says nothing. */
export function watchChanges(storage: Storage, listener: (change: Changed) => void): () => void {
  return isWatched(storage) ? storage.watch(listener) : () => {}
}

function isWatched(storage: Storage): storage is WatchedStorage {
  return 'watch' in storage
}
