extension LabelledImages {
    /// MSD, mirrors: the layout, split and masks of GDD.
    static func msd(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages { try gdd(options) }
}
