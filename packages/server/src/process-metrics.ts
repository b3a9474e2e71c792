/**
 * Metrics of the process, under the names that Prometheus tools expect.
 *
 * The loop is active while something is handled; what its thread did not use of that time it waited for the machine: for a processor that
 * others had, for a disk.
 */
import { performance } from 'node:perf_hooks'
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
    .createObservableCounter('process.main_thread.cpu.seconds', {
      description: 'User and system time of the thread that serves',
      unit: 's',
    })
    .addCallback(({ observe }) => observe(threadSeconds()))
  made
    .createObservableCounter('process.event_loop.active.seconds', {
      description: 'Time in which the event loop handled something',
      unit: 's',
    })
    .addCallback(({ observe }) => observe(performance.eventLoopUtilization().active / 1e3))
  made
    .createObservableGauge('process.resident.memory', { description: 'Resident memory', unit: 'By' })
    .addCallback(({ observe }) => observe(process.memoryUsage.rss()))
  made
    .createObservableGauge('process.heap.used', { description: 'Used heap', unit: 'By' })
    .addCallback(({ observe }) => observe(process.memoryUsage().heapUsed))
  return made
}

/** Older Nodes tell the time of all threads only. */
function threadSeconds(): number {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => NodeJS.CpuUsage }
  const { user, system } = threadCpuUsage === undefined ? process.cpuUsage() : threadCpuUsage.call(process)
  return (user + system) / 1e6
}
