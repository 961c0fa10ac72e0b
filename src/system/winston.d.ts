// The parts of winston that are used, without the transports that are not: they would be bundled too.
declare module "winston/lib/winston/create-logger.js" {
  import { createLogger } from "winston";
  export default createLogger;
}
declare module "logform/printf.js" {
  import { format } from "logform";
  export default format.printf;
}
declare module "winston/lib/winston/transports/console.js" {
  import { transports } from "winston";
  export default transports.Console;
}
