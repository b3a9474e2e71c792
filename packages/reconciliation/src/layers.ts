/**
 * `@tidemark/reconciliation/layers`: a storage made of storages, which heal each other.
 */
export { cacheStorage } from './layers/cache.ts'
export type { Layers } from './layers/contract.ts'
export type { LayerCondition, LayersEvent } from './layers/events.ts'
export type { Loaded, LoadOptions } from './layers/load.ts'
export {
  DEFAULT_LAYERS_LIMITS,
  type LayerOptions,
  type LayersLimits,
  type LayersOptions,
  type WritePolicy,
} from './layers/options.ts'
export type { LayerHealth, LayerStatus, LayersStatus, StatusWord } from './layers/status.ts'
export { layers } from './layers/storage.ts'
