/**
 * What layers are together: their home, their level, what they can do.
 */
import { type Capabilities, checkId, type Opened } from '@tidemark/storage'
import { type Core, voters } from './core.ts'
import type { Layer } from './layer.ts'
import type { WritePolicy } from './options.ts'

/** The first that every write must reach, and that keeps what it is given. */
export function homeOf(core: Core): Layer {
  const open = core.layers.filter((layer) => layer.opened !== undefined && !layer.isCache)
  const durable = open.filter((layer) => layer.durable && !layer.remote)
  return durable.find((layer) => layer.required) ?? durable[0] ?? open[0] ?? (core.layers[0] as Layer)
}

/** A store in memory beside durable ones is a cache. */
export function noteCache(core: Core, layer: Layer): void {
  layer.isCache = isMemoryBesideDurable(core, layer)
}

export function isMemoryBesideDurable(core: Core, layer: Layer): boolean {
  return layer.opened?.level === 'memory' && core.layers.some((other) => other.durable)
}

const LEVELS: readonly Opened['level'][] = ['memory', 'stored', 'durable']

export function openedOf(core: Core): Opened {
  const { generation, history, writable } = core.home.opened as Opened
  const levels = voters(core).map((layer) => LEVELS.indexOf(layer.opened?.level ?? 'durable'))
  const level = LEVELS[Math.min(...levels, LEVELS.length - 1)] as Opened['level']
  return { generation, ...(history !== undefined && { history }), writable, capabilities: capabilitiesOf(core), level }
}

export function capabilitiesOf(core: Core): Capabilities {
  const able = (layer: Layer, capability: keyof Capabilities) => layer.opened?.capabilities[capability] === true
  return {
    list: able(core.home, 'list'),
    changes: able(core.home, 'changes'),
    maps: core.layers.some((layer) => layer.maps && able(layer, 'maps')),
    erase: voters(core).every((layer) => able(layer, 'erase')),
  }
}

/** @throws RangeError for a quorum that can never be reached, or is none. */
export function checkQuorum(policy: WritePolicy | undefined, layers: number): void {
  if (typeof policy !== 'object') return
  const { quorum } = policy
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > layers)
    throw new RangeError(`quorum: expected an integer from 1 to ${layers}, the number of layers, got ${String(quorum)}`)
}

const NAME_LENGTH_MAX = 64

/** @throws RangeError for a name that is none, or that two have. */
export function checkNames(all: readonly Layer[]): void {
  const seen = new Set<string>()
  for (const { name } of all) {
    checkId(name, 'layer name')
    if (name.length > NAME_LENGTH_MAX)
      throw new RangeError(`layer name: expected at most ${NAME_LENGTH_MAX} characters`)
    if (seen.has(name)) throw new RangeError(`layer name: two layers are called ${JSON.stringify(name)}`)
    seen.add(name)
  }
}
