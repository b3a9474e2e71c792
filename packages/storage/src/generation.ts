/**
 * Whether a mark taken from a store, a (generation, sequence), still says something about the store that is open now.
 */
import type { Generation } from './contract.ts'

/**
 * `history` is `Opened.history`, `sequence` the store's present change sequence. A mark is honoured if its generation is in the
 * history and its sequence is not beyond the end of that generation: a store restored from a backup does not know the
 * generations after the backup, one made anew knows none, and a copy of a file parts from its original at its first open.
 */
export function isHonoured(mark: Generation, history: readonly Generation[], sequence: number): boolean {
  const index = history.findIndex((generation) => generation.id === mark.id)
  if (index < 0) return false
  const end = history[index + 1]?.sequence ?? sequence
  return mark.sequence <= end
}
