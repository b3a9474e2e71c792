/**
 * Readers: which documents the applications of a node have open.
 *
 * Not here: what they are given (`handles.ts`).
 */
import type { Happening } from '../happenings.ts'

export interface Readers {
  happened(happening: Happening): void
  isOpen(node: string, id: string): boolean
}

export function watchReaders(): Readers {
  const open = new Map<number, { readonly node: string; readonly id: string }>()
  return {
    happened(happening) {
      if (happening.type === 'opened') open.set(happening.handle, happening)
      else if (happening.type === 'closed') open.delete(happening.handle)
      else if (happening.type === 'crashed')
        for (const [handle, { node }] of open) if (node === happening.node) open.delete(handle)
    },
    isOpen: (node, id) => [...open.values()].some((handle) => handle.node === node && handle.id === id),
  }
}
