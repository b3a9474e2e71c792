/**
 * Another program that writes to the file: takes SQLite's lock for writing, says so, and lets go of it after a while.
 *
 * Arguments: the path of the file, for how many milliseconds.
 */
import { betterSqlite3 } from '../../src/index.ts'

const [path, ms] = process.argv.slice(2) as [string, string]
const database = betterSqlite3.open(path)
database.exec('BEGIN IMMEDIATE')
console.log('locked')
setTimeout(() => database.exec('ROLLBACK'), Number(ms))
