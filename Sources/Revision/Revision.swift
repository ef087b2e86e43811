/// The source revision of the build.
public enum Revision {
    /// The git revision, as in `3f2a91c0`; a `+` stands for uncommitted changes, `unknown` for a build without git.
    public static var git: String { builtRevision }
}
