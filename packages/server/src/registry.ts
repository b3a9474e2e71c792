/**
 * A small registry of counters and gauges that renders itself as Prometheus text (exposition format 0.0.4).
 *
 * Series are kept per set of attributes, so attributes have to be few and closed: never an id, never what a peer sent (L10).
 * Not here: what is counted.
 */
import type { Attributes, Counter, InstrumentOptions, Meter, Observable, Observation } from './meter.ts'

export interface Registry extends Meter {
  /** All metrics with their present values. */
  render(): string
}

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly description: string
  /** Labels as text, and the value. */
  values(): Iterable<readonly [labels: string, value: number]>
}

/** @throws TypeError for a name that was given before. */
export function createRegistry(): Registry {
  const families = new Map<string, Family>()

  function add(family: Family): void {
    if (families.has(family.name)) throw new TypeError(`metric ${family.name} exists already`)
    families.set(family.name, family)
  }

  function observable(name: string, type: Family['type'], options: InstrumentOptions): Observable {
    const callbacks = new Set<(observation: Observation) => void>()
    add({
      name: familyName(name, type, options.unit),
      type,
      description: options.description ?? '',
      values() {
        const seen = new Map<string, number>()
        for (const callback of callbacks)
          callback({ observe: (value, attributes) => seen.set(labelsOf(attributes), value) })
        return seen
      },
    })
    return {
      addCallback: (callback) => void callbacks.add(callback),
      removeCallback: (callback) => void callbacks.delete(callback),
    }
  }

  return {
    createCounter(name, options = {}) {
      const series = createSeries()
      const family = familyName(name, 'counter', options.unit)
      add({ name: family, type: 'counter', description: options.description ?? '', values: series.values })
      return series
    },
    createObservableGauge: (name, options = {}) => observable(name, 'gauge', options),
    createObservableCounter: (name, options = {}) => observable(name, 'counter', options),
    render: () => [...families.values()].map(renderFamily).join(''),
  }
}

function createSeries(): Counter & { values(): Iterable<readonly [string, number]> } {
  const cells = new Map<string, { value: number }>()
  // Who counts often passes the same attributes object again and again: it is looked up by itself, not by its text.
  const known = new WeakMap<Attributes, { value: number }>()

  function cellOf(attributes: Attributes): { value: number } {
    const before = known.get(attributes)
    if (before !== undefined) return before
    const labels = labelsOf(attributes)
    const cell = cells.get(labels) ?? { value: 0 }
    cells.set(labels, cell)
    known.set(attributes, cell)
    return cell
  }

  return {
    add(value, attributes = NONE) {
      cellOf(attributes).value += value
    },
    *values() {
      if (cells.size === 0) yield ['', 0]
      for (const [labels, { value }] of cells) yield [labels, value]
    },
  }
}

const NONE: Attributes = {}

function renderFamily({ name, type, description, values }: Family): string {
  const lines = [`# HELP ${name} ${escaped(description)}`, `# TYPE ${name} ${type}`]
  for (const [labels, value] of values()) lines.push(`${name}${labels} ${value}`)
  return `${lines.join('\n')}\n`
}

/** `tidemark.sent` in `By` → `tidemark_sent_bytes_total`; a unit that the name ends with is not repeated. */
function familyName(name: string, type: Family['type'], unit: string | undefined): string {
  const base = name.replaceAll(/[^a-zA-Z0-9_]/g, '_')
  const suffix = unit === 'By' ? '_bytes' : unit === 's' ? '_seconds' : ''
  const withUnit = base.endsWith(suffix) ? base : base + suffix
  return type === 'counter' ? `${withUnit}_total` : withUnit
}

function labelsOf(attributes: Attributes = NONE): string {
  const pairs = Object.entries(attributes).map(([name, value]) => `${name}="${escaped(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
