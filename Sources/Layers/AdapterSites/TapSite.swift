/// Tokens of the encoder that adapters may read: the input or the output of a block.
///
/// The input of a stage's first block is the result of the merging below it; adapters that add to the block's input have
/// not added to it.
public struct TapSite: Sendable, Hashable, Comparable {
    /// The block, as in `BlockSite.index`.
    public let block: Int
    /// Whether it is the block's input instead of its output.
    public let isInput: Bool

    private init(block: Int, isInput: Bool) { (self.block, self.isInput) = (block, isInput) }

    /// The tokens that enter a block.
    public static func input(of block: Int) -> TapSite { TapSite(block: block, isInput: true) }

    /// The tokens that leave a block.
    public static func output(of block: Int) -> TapSite { TapSite(block: block, isInput: false) }

    /// From the input of the encoder upwards.
    public static func < (left: TapSite, right: TapSite) -> Bool {
        (left.block, left.isInput ? 0 : 1) < (right.block, right.isInput ? 0 : 1)
    }
}
