/**
 * What layers can be asked, beside what every storage can.
 */
import type { WatchedStorage } from '@tidemark/storage'
import type { LayersEvent } from './events.ts'
import type { Loaded, LoadOptions } from './load.ts'
import type { LayerOptions } from './options.ts'
import type { LayerHealth, LayersStatus } from './status.ts'

/** Every answer is a promise. */
type Asynchronous = {
  [Method in keyof WatchedStorage]: Method extends 'watch'
    ? WatchedStorage[Method]
    : (...args: Parameters<WatchedStorage[Method]>) => Promise<Awaited<ReturnType<WatchedStorage[Method]>>>
}

export interface Layers extends Asynchronous {
  load(id: string, options?: LoadOptions): Promise<Loaded>
  status(id: string): Promise<LayersStatus>
  health(): readonly LayerHealth[]
  /** Resolves when nothing is being repaired, or waits for its turn; of one document, or of all. */
  whenSettled(id?: string): Promise<void>
  /** Compares everything in all layers now, as is done once a day, and repairs what is behind. */
  sweep(): Promise<void>
  /** Adds a layer behind the others: what it adds is told to watchers, what it lacks it gets. Resolves when that was begun. */
  attach(layer: LayerOptions): Promise<void>
  /**
   * Takes a layer out; whoever waits for it is told that it failed. Its storage is the caller's to close. If its generation and change sequence were
   * those of the whole, `changes` fails until `open` was called again and has said which they are now.
   */
  detach(name: string): void
  /** Hears every event; answers how to stop. */
  listen(listener: (event: LayersEvent) => void): () => void
}
