/**
 * The open handles of a client, by document. Empty when all are closed (L10). Not here: what a handle is.
 */
import type { Handle } from './handle.ts'

export interface Handles {
  add(handle: Handle): void
  remove(handle: Handle): void
  of(id: string): readonly Handle[]
  all(): readonly Handle[]
}

export function createHandles(): Handles {
  const documents = new Map<string, Set<Handle>>()
  return {
    add(handle) {
      documents.set(handle.id, (documents.get(handle.id) ?? new Set()).add(handle))
    },
    remove(handle) {
      const open = documents.get(handle.id)
      if (open?.delete(handle) && open.size === 0) documents.delete(handle.id)
    },
    of: (id) => [...(documents.get(id) ?? [])],
    all: () => [...documents.values()].flatMap((open) => [...open]),
  }
}
