/**
 * Several storages behind one server: how they are, and what of it goes into the log.
 *
 * Not here: making them (`open-storage.ts`), keeping them in step (`@tidemark/reconciliation/layers`).
 */
import type { Layers, LayersEvent } from '@tidemark/reconciliation/layers'
import type { Storage } from '@tidemark/storage'
import type { Log } from './log.ts'

export function layersOf(storage: Storage): Layers | undefined {
  return 'health' in storage && 'attach' in storage ? (storage as Layers) : undefined
}

/** What somebody may have to do something about is a warning; repairs are told to who debugs. */
export function logLayers(log: Log, event: LayersEvent): void {
  const { kind, ...facts } = event
  if (kind === 'layer') {
    const isGood = event.condition === 'up' || event.condition === 'attached'
    log(isGood ? 'info' : 'warn', `layer ${event.layer}: ${event.condition}`, { code: event.code })
  } else if (
    kind === 'fork' ||
    kind === 'corrupt' ||
    kind === 'regressed' ||
    kind === 'conflict' ||
    kind === 'unswept'
  ) {
    log('warn', `layers: ${kind}`, facts)
  } else log('debug', `layers: ${kind}`, facts)
}
