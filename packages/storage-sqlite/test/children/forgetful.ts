/**
 * A process that appends and does not close. Argument: the path of the store.
 */
import { sqliteStorage } from '../../src/index.ts'
import { content } from '../support.ts'

const storage = sqliteStorage({ path: process.argv[2] as string })
storage.open()
await storage.append([content('x', { until: 1 })])
console.log('stored')
