"""equime: micro-expression video data sets people can trust."""
