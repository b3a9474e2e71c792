/**
 * Metrics of the process, under the names that Prometheus tools expect.
 */
import { createRegistry, type Registry } from './registry.ts'

let registry: Registry | undefined

/** Prometheus text; the numbers are those of this moment. */
export function processMetrics(): string {
  registry ??= createProcessRegistry()
  return registry.render()
}

function createProcessRegistry(): Registry {
  const made = createRegistry()
  made
    .createObservableCounter('process.cpu.seconds', { description: 'User and system time', unit: 's' })
    .addCallback(({ observe }) => {
      const { user, system } = process.cpuUsage()
      observe((user + system) / 1e6)
    })
  made
    .createObservableGauge('process.resident.memory', { description: 'Resident memory', unit: 'By' })
    .addCallback(({ observe }) => observe(process.memoryUsage.rss()))
  made
    .createObservableGauge('process.heap.used', { description: 'Used heap', unit: 'By' })
    .addCallback(({ observe }) => observe(process.memoryUsage().heapUsed))
  return made
}
