/**
 * A meter that keeps gauges only: they say how large the tables of a server are.
 */
import type { Meter, Observation } from '@tidemark/server'

export interface Gauges {
  readonly meter: Meter
  /** Values by name: `tidemark.requests.parked`. */
  read(): Readonly<Record<string, number>>
}

export function createGauges(): Gauges {
  const callbacks = new Map<string, Set<(observation: Observation) => void>>()
  const observable = (name: string) => {
    const all = new Set<(observation: Observation) => void>()
    callbacks.set(name, all)
    return {
      addCallback: (callback: (observation: Observation) => void) => void all.add(callback),
      removeCallback: (callback: (observation: Observation) => void) => void all.delete(callback),
    }
  }
  return {
    meter: {
      createCounter: () => ({ add() {} }),
      createObservableGauge: observable,
      createObservableCounter: observable,
    },
    read() {
      const values: Record<string, number> = {}
      for (const [name, all] of callbacks)
        for (const callback of all)
          callback({
            observe(value) {
              values[name] = value
            },
          })
      return values
    },
  }
}
