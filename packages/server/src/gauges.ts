/**
 * Gauges: how large the engine's tables are, asked when somebody reads the metrics.
 */
import type { EngineSizes } from '@tidemark/sync'
import type { Meter, Observation } from './meter.ts'

const GAUGES: readonly [name: string, size: keyof EngineSizes, description: string][] = [
  ['connections.open', 'connections', 'Connections that are open'],
  ['documents.subscribed', 'documents', 'Documents that somebody is subscribed to'],
  ['subscriptions', 'subscriptions', 'Subscriptions; a document counts once per subscriber'],
  ['documents.held', 'holdings', 'Documents whose known state is in memory'],
  ['documents.idle', 'idle', 'Of these, documents that only their recent pages keep there'],
  ['requests.parked', 'parked', 'Requests that wait for the storage, a hook or an upstream'],
  ['contents.queued', 'queued', 'Contents accepted and not yet durable'],
  [
    'pages.recent',
    'recentBytes',
    'Bytes that pages kept for subscribers, and the states of their documents, take in memory',
  ],
  ['pending', 'pendingBytes', 'Bytes received and neither durable nor answered'],
]

/** Answers how to stop. */
export function observeSizes(meter: Meter, read: () => EngineSizes): () => void {
  const stops = GAUGES.map(([name, size, description]) => {
    const unit = size === 'recentBytes' || size === 'pendingBytes' ? 'By' : '{count}'
    const gauge = meter.createObservableGauge(`tidemark.${name}`, { description, unit })
    const callback = (observation: Observation) => observation.observe(read()[size])
    gauge.addCallback(callback)
    return () => gauge.removeCallback(callback)
  })
  return () => {
    for (const stop of stops) stop()
  }
}
