/**
 * What layers tell those who watch over them: names, ids, counts; never payloads, never values of small maps.
 */
import type { StorageErrorCode } from '@tidemark/storage'

export type LayerCondition =
  | 'up'
  /** It did not answer in time. */
  | 'slow'
  /** It failed. */
  | 'down'
  | 'read-only'
  | 'quota'
  /** It is empty, or another store, where one of ours was. */
  | 'recreated'
  | 'attached'
  | 'detached'

export type LayersEvent =
  | {
      readonly kind: 'layer'
      readonly layer: string
      readonly condition: LayerCondition
      readonly code?: StorageErrorCode | undefined
    }
  /** `load` handed a document over. */
  | { readonly kind: 'usable'; readonly id: string; readonly layer: string }
  | {
      readonly kind: 'merged'
      readonly id: string
      readonly answered: readonly string[]
      readonly failed: readonly string[]
      readonly timedOut: readonly string[]
    }
  /** Repair of one document in one layer; `entries` were written so far. */
  | {
      readonly kind: 'repair'
      readonly id: string
      readonly layer: string
      readonly step: 'start' | 'progress' | 'done' | 'stuck'
      readonly entries: number
    }
  | { readonly kind: 'gap'; readonly id: string; readonly layer: string; readonly session: string }
  /** Two layers hold different transactions of one session; without `session`, different headers of one document. */
  | {
      readonly kind: 'fork'
      readonly id: string
      readonly session: string | undefined
      readonly layers: readonly string[]
    }
  | { readonly kind: 'corrupt'; readonly id: string; readonly layer: string }
  /** A layer holds less of a document than it did. */
  | { readonly kind: 'regressed'; readonly id: string; readonly layer: string }
  /** Two layers hold different values of one version. */
  | { readonly kind: 'conflict'; readonly map: string; readonly key: string }
  /** A layer brought entries of a small map of which no earlier reader was told, or another one took them: reading it again may give more. */
  | { readonly kind: 'map'; readonly map: string }
  /** A sweep ended early; the next one begins when its time comes. */
  | { readonly kind: 'unswept'; readonly code?: StorageErrorCode | undefined }
  | {
      readonly kind: 'settled'
      readonly id: string
      readonly covers: readonly string[]
      readonly missing: readonly string[]
    }

export interface Events {
  emit(event: LayersEvent): void
  listen(listener: (event: LayersEvent) => void): () => void
}

/** What a listener throws is an uncaught error of its own: whoever tells goes on. */
export function tellAll<T>(listeners: ReadonlySet<(told: T) => void>, told: T): void {
  for (const listener of listeners)
    try {
      listener(told)
    } catch (cause) {
      queueMicrotask(() => {
        throw cause
      })
    }
}

export function createEvents(): Events {
  const listeners = new Set<(event: LayersEvent) => void>()
  return {
    emit(event) {
      tellAll(listeners, event)
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
