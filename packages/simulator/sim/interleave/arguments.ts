/**
 * What `interleavings.ts` is asked for, from its arguments. Not here: playing.
 */
import { optionsOf, whole } from '../options.ts'

export interface Wanted {
  /** Of every program. */
  readonly operations: number
  readonly statesMax: number
  /** The number of the one program that is played; `undefined` for all of them. */
  readonly only: number | undefined
  readonly reduced: boolean
}

/** Four operations are more programs, and each of more states, than anybody waits for; more of them do not end. */
const OPERATIONS_MAX = 4
const STATES_MAX = 100_000_000

/** `programs` says how many programs of so many operations there are. @throws UsageError */
export function wantedOf(args: readonly string[], programs: (operations: number) => number): Wanted {
  const { values, wrong } = optionsOf(
    {
      operations: { takes: `how many operations a program has, from 1 to ${OPERATIONS_MAX}`, example: '3' },
      'states-max': { takes: 'after how many states to give up, from 1 to 100,000,000', example: '200000' },
      only: { takes: 'the number of a program, from 0 to one less than there are', example: '0' },
      unreduced: 'flag',
    } as const,
    args,
  )
  const number = (option: 'operations' | 'states-max' | 'only', least: number, most: number): number | undefined => {
    const text = values.get(option)
    if (text === undefined) return undefined
    const value = whole(text)
    return value === undefined || value < least || value > most ? wrong(option, text) : value
  }
  const operations = number('operations', 1, OPERATIONS_MAX) ?? 3
  return {
    operations,
    statesMax: number('states-max', 1, STATES_MAX) ?? 200_000,
    only: number('only', 0, programs(operations) - 1),
    reduced: !values.has('unreduced'),
  }
}
