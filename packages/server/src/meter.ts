/**
 * What counters are made with: the part of an OpenTelemetry `Meter` that this package uses, so that one of theirs fits as it is.
 *
 * Not here: what is counted (`counters.ts`), the registry that is used if no other is handed in (`registry.ts`).
 */

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface InstrumentOptions {
  readonly description?: string
  /** `By`, `s`, or `{things}`. */
  readonly unit?: string
}

export interface Counter {
  add(value: number, attributes?: Attributes): void
}

export interface Observation {
  observe(value: number, attributes?: Attributes): void
}

/** Asked for its value when somebody reads the metrics. */
export interface Observable {
  addCallback(callback: (observation: Observation) => void): void
  removeCallback(callback: (observation: Observation) => void): void
}

export interface Meter {
  createCounter(name: string, options?: InstrumentOptions): Counter
  createObservableGauge(name: string, options?: InstrumentOptions): Observable
  createObservableCounter(name: string, options?: InstrumentOptions): Observable
}
