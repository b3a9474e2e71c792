/**
 * A store for tests of layers: in memory, and yet one that they take for durable.
 */
import { memoryStorage, type Storage } from '@tidemark/storage'

export function durable(): Storage {
  const data = memoryStorage()
  const opened = data.open()
  return Object.assign(Object.create(data) as Storage, {
    open: () => ({ ...opened, level: 'durable' as const }),
    ...Object.fromEntries(
      (['knownStates', 'read', 'append', 'headers', 'marks', 'verifierStates', 'list', 'close'] as const).map(
        (name) => [name, (...args: never[]) => (data[name] as (...values: never[]) => unknown)(...args)],
      ),
    ),
  })
}
