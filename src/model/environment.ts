/** Environment variables by name. Those of the process or, for AWS, also those of the settings file. */
export type Environment = Readonly<Record<string, string | undefined>>;
