/**
 * What a storage uses again from one transaction to the next; nothing in it decides what is stored.
 */
import type { BlobWriter } from '@tidemark/storage/adapter'
import type { LargeDocuments } from './large.ts'
import type { PageMemory } from './page-memory.ts'
import type { Habit } from './rows.ts'

export interface Tools {
  readonly writer: BlobWriter
  readonly habit: Habit
  readonly large: LargeDocuments
  readonly pages: PageMemory
}
