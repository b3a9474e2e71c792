/**
 * The last numbers that the store gave, in one record: read and written within the transactions that give more.
 */
import { wrap } from 'idb'
import type { Reach } from './transaction.ts'

export interface Numbers {
  /** Documents that were given a number. None is ever removed, so this is how many there are. */
  readonly documents: number
  /** Of the latest change. */
  readonly sequence: number
}

const KEY = 'numbers'
const NONE: Numbers = { documents: 0, sequence: 0 }

export async function readNumbers(reach: Reach): Promise<Numbers> {
  return (await wrap(reach('meta').get(KEY))) ?? NONE
}

export function writeNumbers(reach: Reach, numbers: Numbers): void {
  reach('meta').put(numbers, KEY)
}
