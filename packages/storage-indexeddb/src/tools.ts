/**
 * What a storage uses again from one transaction to the next; nothing in it decides what is stored.
 */
import { BlobWriter } from '@tidemark/storage/adapter'
import { LargeDocuments } from './large.ts'
import { PageMemory } from './page-memory.ts'
import { Habit } from './rows.ts'

export interface Tools {
  readonly writer: BlobWriter
  readonly habit: Habit
  readonly large: LargeDocuments
  readonly pages: PageMemory
}

export function freshTools(): Tools {
  return { writer: new BlobWriter(), habit: new Habit(), large: new LargeDocuments(), pages: new PageMemory() }
}
