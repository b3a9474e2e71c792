/**
 * A process whose files cannot grow beyond a limit (`ulimit -f`): appends until LevelDB's log is full, and goes on. It says what
 * became of each append. Arguments: the folder of the store, how many appends.
 */
import { leveldbStorage } from '../../src/index.ts'
import { content } from '../support.ts'

const [path, appends] = process.argv.slice(2) as [string, string]
const storage = leveldbStorage({ path })
await storage.open()
for (let index = 0; index < Number(appends); index++) {
  try {
    const [result] = await storage.append([content(`document ${index}`, { until: 10, size: 10_000 })])
    const held = result !== undefined && !('failed' in result) && result.state !== undefined
    console.log(JSON.stringify({ index, stored: held }))
  } catch (cause) {
    console.log(JSON.stringify({ index, stored: false, error: String(cause) }))
  }
}
process.kill(process.pid, 'SIGKILL')
