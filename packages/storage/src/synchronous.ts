/**
 * The contract of a store that answers in the same tick: what is awaitable elsewhere is a value here.
 */
import type { Storage } from './contract.ts'

export type SynchronousStorage = {
  [Method in keyof Storage]: (
    ...args: Parameters<Storage[Method]>
  ) => Exclude<ReturnType<Storage[Method]>, PromiseLike<unknown>>
}
