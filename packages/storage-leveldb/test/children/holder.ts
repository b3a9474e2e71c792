/**
 * A process that opens a store and keeps it until it is killed. Argument: the folder of the store.
 */
import { leveldbStorage } from '../../src/index.ts'

try {
  await leveldbStorage({ path: process.argv[2] as string }).open()
  console.log('open')
  setInterval(() => {}, 1000)
} catch (cause) {
  console.log(JSON.stringify(cause), String(cause))
}
